"""`python -m thinkaloud.cli` runs `thinkaloud`."""

from thinkaloud.cli import main

if __name__ == "__main__":
    main()
