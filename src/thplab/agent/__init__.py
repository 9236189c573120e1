# SPDX-License-Identifier: GPL-2.0-only
"""The agent: performs a scenario's steps on the kernel it runs on, by that kernel's own interfaces.

`python -m thplab.agent` runs as root, inside a guest or on a host. It needs the standard library
and msgspec.
"""
