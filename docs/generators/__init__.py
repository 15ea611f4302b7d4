"""Pieces of the documentation that are printed from the code itself, so that they cannot be out of date.

Each module prints MyST and knows one thing: settings, states, reasons, the API, commands, proofs, changes. Which page
takes which piece: extension.py, the only module that knows Sphinx.
"""
