"""From records to pages: every number, time and sentence, ready to print.

Pure functions: no clock, no request, no database; what is now comes in as an argument. One module a page (`jobs`,
`story`, `admin`) with one function `view()`; the rest are the nouns they share. Who renders: service/pages.
"""
