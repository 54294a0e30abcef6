"""One script an engine. Peers' scripts run in the peers' own environment, which does not hold thinkaloud: they import
`block` (standard library only) and their engine, nothing else of this package.
"""
