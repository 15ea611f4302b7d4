"""`gpuqueue doctor`: looks at a deployment without changing it, and says what is wrong and what to do.

- `findings` what a check is and what it finds; `deployment` what is looked at; `running` each within its limit
- `settings`, `hub`, `manager`, `database`, `machine`, `cluster`, `nodes`, `probes` the checks, by subject
- `words` how it is told; `command` the list of all checks, and the command line
"""
