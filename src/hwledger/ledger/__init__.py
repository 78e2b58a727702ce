"""The ledger: events that are appended, chained, signed and never changed.

``event`` makes and reads envelopes, ``chain`` and ``merkle`` prove what was written, ``note`` and
``witness`` hold a ledger to what it once showed, ``store`` is the port and ``sqlite`` its adapter, ``audit``
checks a file.
"""
