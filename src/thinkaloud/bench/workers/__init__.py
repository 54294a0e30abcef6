"""One script per engine. The scripts of peers run in the peers' environment, without thinkaloud: of this package they
import only `block` (standard library only).
"""
