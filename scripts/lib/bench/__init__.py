"""What scripts/bench is made of.

    cases     what is measured: the parts, their cases, and which figures of a run count
    servers   who is measured: how each server is started, addressed and stopped
    measure   runs the cases, server by server, and the in-process benchmarks
    figures   medians and extremes of what was measured
    goals     what the figures should be, and whether they are
    machine   where it was measured
    tables    the results as text;  plots, page: as one HTML page
"""
