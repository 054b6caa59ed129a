"""Functions and leaf modules that every model of wan_core shares."""
