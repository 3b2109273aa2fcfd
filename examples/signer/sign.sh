#!/bin/sh
# Signs for a ledger with Ed25519 keys that are outside of its folder. Usage: sign.sh FOLDER
#
# FOLDER has one private key a file, named *.pem. The last one by name is the one that is offered to a
# ledger. To rotate, add a file whose name comes later, then run "lockstep key rotate".
# The protocol is in docs/how-to/secure-it.md. It needs openssl 3.
set -eu

folder=${1:?usage: sign.sh FOLDER}

# The raw public key of a private key, in base64.
public_key() {
  openssl pkey -in "$1" -pubout -outform DER | tail -c 32 | openssl base64 -A
}

IFS= read -r request
IFS= read -r name
case $request in
  'lockstep-signer/v1 public-key')
    offered=
    for file in "$folder"/*.pem; do offered=$file; done
    public_key "$offered"
    ;;
  'lockstep-signer/v1 sign')
    IFS= read -r message
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    printf '%s\n' "$message" | openssl base64 -d -A > "$work/message"
    for file in "$folder"/*.pem; do
      # A key line is name+id+base64 of the byte 1 and the public key.
      { printf '\001'; public_key "$file" | openssl base64 -d -A; } > "$work/typed"
      case $name in
        *"+$(openssl base64 -A -in "$work/typed")")
          openssl pkeyutl -sign -rawin -inkey "$file" -in "$work/message" -out "$work/signature"
          openssl base64 -A -in "$work/signature"
          exit 0
          ;;
      esac
    done
    echo "no key in $folder is $name" >&2
    exit 1
    ;;
  *)
    echo "this is not a request of lockstep-signer/v1: $request" >&2
    exit 2
    ;;
esac
