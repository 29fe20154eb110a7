"""The HTTP gateway: a producer for apps in any language.  See docs/api.md."""
