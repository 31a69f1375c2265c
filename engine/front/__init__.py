"""The front: what applications and operators reach over HTTP."""
