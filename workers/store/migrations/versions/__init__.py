"""The revisions, oldest first.  Each only adds; one that was released is never changed."""
