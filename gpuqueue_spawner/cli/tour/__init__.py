"""A scripted visitor of the demo: users fill the GPUs, one waits, the Hub is killed, an admin drops a job.

- `command` starts the demo with its visitor and looks at what is left; `visit` is the visitor
- `steps` the story; `browser` and `http` are two ways to live it; `kernel` runs a cell without a browser
"""
