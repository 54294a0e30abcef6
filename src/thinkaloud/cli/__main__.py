"""`python -m thinkaloud.cli` is `thinkaloud`."""

from thinkaloud.cli import main

if __name__ == "__main__":
    main()
