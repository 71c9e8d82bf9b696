# Sourced by the other scripts: ROOT, TOOLS, DENO, a PATH on which that Deno comes first, and its cache.
# Needs to know where it lies: the caller sets ROOT, or stands in the checkout.
ROOT=${ROOT:-$(pwd)}
TOOLS=$ROOT/.tools
DENO_MINIMUM=2.9.5
DENO_PINNED=2.9.6

# Whether $1 is a Deno that is recent enough.
deno_is_good() {
  [ -x "$1" ] || return 1
  _version=$("$1" --version 2>/dev/null | sed -n 's/^deno \([0-9.]*\).*/\1/p')
  [ -n "$_version" ] &&
    [ "$(printf '%s\n%s\n' "$DENO_MINIMUM" "$_version" | sort -V | head -n 1)" = "$DENO_MINIMUM" ]
}

# The pinned Deno of the checkout goes before one that happens to be on PATH.
_local=$TOOLS/deno/node_modules/.bin/deno
_found=$(command -v deno 2>/dev/null || true)
if [ -x "$_local" ]; then
  DENO=$_local
elif [ -n "$_found" ] && deno_is_good "$_found"; then
  DENO=$_found
else
  DENO=
fi
if [ -n "$DENO" ]; then
  PATH=$(dirname "$DENO"):$PATH
fi
# The home directory of whoever runs this is left alone, and need not exist.
DENO_DIR=${DENO_DIR:-$TOOLS/cache/deno}
# Certificates the machine's operator has added, as behind a proxy: Deno and npm do not look for them by themselves.
DENO_TLS_CA_STORE=${DENO_TLS_CA_STORE:-mozilla,system}
_bundle=/etc/ssl/certs/ca-certificates.crt
if [ -z "${NODE_EXTRA_CA_CERTS:-}" ] && [ -f "$_bundle" ]; then export NODE_EXTRA_CA_CERTS=$_bundle; fi
export ROOT TOOLS DENO DENO_DIR DENO_TLS_CA_STORE PATH
