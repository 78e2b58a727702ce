"""Apple Silicon, through macmon, ioreg, powermetrics, system_profiler and sysctl."""
