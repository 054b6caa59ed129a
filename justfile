# The same lines stand written out in CONTRIBUTING.md.
default: lint types test

fmt:
    ruff format . && ruff check --fix .

lint:
    ruff check . && ruff format --check .

types:
    basedpyright

test *args:
    pytest {{args}}

test-comfy *args:
    pytest -m comfy {{args}}

demo:
    wan-r2v demo
