"""How the servers are reached: one entry for all of them, over stdio or over HTTP.

`etude serve NAME` and `etude serve all` are read in `__main__`. Over HTTP a request passes, in this order, what stands
in `entrance`: where it comes from (`hosts`, `forwarding`), with which token (`tokens`), how often (`rates`), how much
it holds (`bodies`), and whether it may (`permission`); then the SDK's session manager has it. `serving` listens, and
ends without losing a call.
"""
