// Verifies a cosigned checkpoint without any code of Lockstep: Go's note package reads the note, and Go's Ed25519
// verifies the cosignatures. Arguments: the file of the note, and key lines. Prints one line "name timestamp" for each
// cosignature and "name" for each plain signature.
package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
	seen *uint64
}

func (c cosigner) Name() string    { return c.name }
func (c cosigner) KeyHash() uint32 { return c.hash }
func (c cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	*c.seen = binary.BigEndian.Uint64(sig)
	signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", *c.seen, msg)
	return ed25519.Verify(c.key, []byte(signed), sig[8:])
}

func verifierOf(line string) (note.Verifier, error) {
	parts := strings.SplitN(line, "+", 3)
	if len(parts) != 3 {
		return nil, errors.New("malformed key line")
	}
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil {
		return nil, err
	}
	if raw[0] != 4 {
		return note.NewVerifier(line)
	}
	stated, err := strconv.ParseUint(parts[1], 16, 32)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(append([]byte(parts[0]+"\n"), raw...))
	hash := binary.BigEndian.Uint32(digest[:])
	if hash != uint32(stated) {
		return nil, errors.New("wrong key id")
	}
	return cosigner{parts[0], hash, ed25519.PublicKey(raw[1:]), new(uint64)}, nil
}

func run() error {
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		return err
	}
	var verifiers []note.Verifier
	for _, line := range os.Args[2:] {
		verifier, err := verifierOf(line)
		if err != nil {
			return err
		}
		verifiers = append(verifiers, verifier)
	}
	opened, err := note.Open(text, note.VerifierList(verifiers...))
	if err != nil {
		return err
	}
	for _, sig := range opened.Sigs {
		for _, verifier := range verifiers {
			if verifier.Name() != sig.Name || verifier.KeyHash() != sig.Hash {
				continue
			}
			if c, ok := verifier.(cosigner); ok {
				fmt.Println(sig.Name, *c.seen)
			} else {
				fmt.Println(sig.Name)
			}
		}
	}
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
