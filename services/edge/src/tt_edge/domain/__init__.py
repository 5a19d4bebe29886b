"""Pure rules of the edge: who may call what, what a call may cost, how it ended. No I/O, no clock, no framework."""
