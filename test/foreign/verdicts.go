// Verifies proofs and notes by Go's packages tlog and note, which verify the Go checksum database. Reads cases from
// stdin, one JSON object a line, and answers each with a line: "yes" or "no". A note that verifies has its text behind
// the word, in base64.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Case is one question. Hashes are in base64, sizes are decimal numbers of any length.
type Case struct {
	Kind string `json:"kind"`
	// Of proofs. An inclusion proof has no From, and Leaf in place of FromRoot.
	From     string   `json:"from"`
	FromRoot string   `json:"from_root"`
	Leaf     string   `json:"leaf"`
	Proof    []string `json:"proof"`
	Root     string   `json:"root"`
	Seq      string   `json:"seq"`
	Size     string   `json:"size"`
	// Of notes, in base64, because their bytes may be invalid.
	Note string `json:"note"`
	Vkey string `json:"vkey"`
}

func main() {
	in := bufio.NewReader(os.Stdin)
	cases := json.NewDecoder(in)
	for cases.More() {
		var asked Case
		if err := cases.Decode(&asked); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(asked.verdict())
	}
}

func (c Case) verdict() string {
	switch c.Kind {
	case "inclusion":
		return word(c.inclusion())
	case "consistency":
		return word(c.consistency())
	case "note":
		return c.opened()
	}
	panic("unknown kind " + c.Kind)
}

func word(isRight bool) string {
	if isRight {
		return "yes"
	}
	return "no"
}

func (c Case) inclusion() bool {
	seq, size, ok := numbers(c.Seq, c.Size)
	proof, proofOk := hashes(c.Proof)
	leaf, leafOk := hash(c.Leaf)
	root, rootOk := hash(c.Root)
	return ok && proofOk && leafOk && rootOk && tlog.CheckRecord(proof, size, root, seq, leaf) == nil
}

func (c Case) consistency() bool {
	from, size, ok := numbers(c.From, c.Size)
	proof, proofOk := hashes(c.Proof)
	fromRoot, fromOk := hash(c.FromRoot)
	root, rootOk := hash(c.Root)
	return ok && proofOk && fromOk && rootOk && tlog.CheckTree(tlog.TreeProof(proof), size, root, from, fromRoot) == nil
}

func (c Case) opened() string {
	bytes, err := base64.StdEncoding.DecodeString(c.Note)
	if err != nil {
		panic(err)
	}
	verifier, err := note.NewVerifier(c.Vkey)
	if err != nil {
		return "no"
	}
	opened, err := note.Open(bytes, note.VerifierList(verifier))
	if err != nil {
		return "no"
	}
	return "yes " + base64.StdEncoding.EncodeToString([]byte(opened.Text))
}

func numbers(one, other string) (int64, int64, bool) {
	first, err := strconv.ParseInt(one, 10, 64)
	second, otherErr := strconv.ParseInt(other, 10, 64)
	return first, second, err == nil && otherErr == nil
}

func hashes(texts []string) ([]tlog.Hash, bool) {
	all := make([]tlog.Hash, 0, len(texts))
	for _, text := range texts {
		one, ok := hash(text)
		if !ok {
			return nil, false
		}
		all = append(all, one)
	}
	return all, true
}

func hash(text string) (tlog.Hash, bool) {
	one, err := tlog.ParseHash(text)
	return one, err == nil
}
