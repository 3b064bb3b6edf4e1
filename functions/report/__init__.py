"""`normalize/<run id>.json` -> quality measures, verdict, picture and page; the end of a scan."""
