"""The same scores over HTTP and WebSocket; needs the extra `serve`. Nothing here computes."""
