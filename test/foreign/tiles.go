// Reads a whole log over HTTP by Go's packages note and tlog, which verify the Go checksum database. Arguments: the URL of
// the tiles, the key line, and "entries" to read the entries too. Prints the size, the root and the number of requests.
package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// height is the height of the tiles of C2SP tlog-tiles, which therefore do not have it in their paths.
const height = 8

func main() {
	withEntries := len(os.Args) > 3 && os.Args[3] == "entries"
	if err := readLog(os.Args[1], os.Args[2], withEntries); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// overHTTP reads tiles. A bearer token comes from the environment.
type overHTTP struct {
	url   string
	reads int
}

func (r *overHTTP) Height() int                     { return height }
func (r *overHTTP) SaveTiles([]tlog.Tile, [][]byte) {}
func (r *overHTTP) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	all := make([][]byte, 0, len(tiles))
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
		bytes, err := r.partial(path, tile.W, tlog.HashSize)
		if err != nil {
			return nil, err
		}
		all = append(all, bytes)
	}
	return all, nil
}

// partial reads a tile. If it is partial and gone, the full one has replaced it.
func (r *overHTTP) partial(path string, width, hashSize int) ([]byte, error) {
	bytes, err := r.get(path)
	full := strings.Split(path, ".p/")[0]
	if err == nil || full == path {
		return bytes, err
	}
	bytes, err = r.get(full)
	if err == nil && hashSize > 0 && len(bytes) >= width*hashSize {
		bytes = bytes[:width*hashSize]
	}
	return bytes, err
}

func (r *overHTTP) get(path string) ([]byte, error) {
	request, err := http.NewRequest("GET", r.url+"/"+path, nil)
	if err != nil {
		return nil, err
	}
	if token := os.Getenv("TOKEN"); token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	r.reads++
	if answer.StatusCode != 200 {
		return nil, fmt.Errorf("%s: %s", path, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

// readLog verifies the checkpoint, then every leaf hash of the log through tiles that are proven against its root, an
// inclusion proof for some records, and consistency with some earlier trees.
func readLog(url, vkey string, withEntries bool) error {
	from := &overHTTP{url: strings.TrimSuffix(url, "/")}
	tree, err := checkpoint(from, vkey)
	if err != nil {
		return err
	}
	reader := tlog.TileHashReader(tree, from)
	leaves := make([]tlog.Hash, 0, tree.N)
	for at := int64(0); at < tree.N; at += 1 << height {
		indexes := []int64{}
		for seq := at; seq < tree.N && seq < at+1<<height; seq++ {
			indexes = append(indexes, tlog.StoredHashIndex(0, seq))
		}
		hashes, err := reader.ReadHashes(indexes)
		if err != nil {
			return err
		}
		leaves = append(leaves, hashes...)
	}
	for step, seq := 1+tree.N/16, int64(0); seq < tree.N; seq += step {
		proof, err := tlog.ProveRecord(tree.N, seq, reader)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, seq, leaves[seq]); err != nil {
			return fmt.Errorf("record %d: %v", seq, err)
		}
		before, err := tlog.TreeHash(seq+1, reader)
		if err != nil {
			return err
		}
		growth, err := tlog.ProveTree(tree.N, seq+1, reader)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(growth, tree.N, tree.Hash, seq+1, before); err != nil {
			return fmt.Errorf("tree %d: %v", seq+1, err)
		}
	}
	if withEntries {
		if err := readEntries(from, leaves); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"reads": from.reads, "root": tree.Hash, "size": tree.N})
}

func checkpoint(from *overHTTP, vkey string) (tlog.Tree, error) {
	bytes, err := from.get("checkpoint")
	if err != nil {
		return tlog.Tree{}, err
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tlog.Tree{}, err
	}
	signed, err := note.Open(bytes, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("the checkpoint is of another log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// readEntries reads every entry, and checks that it has its leaf hash.
func readEntries(from *overHTTP, leaves []tlog.Hash) error {
	for at := 0; at < len(leaves); at += 1 << height {
		width := len(leaves) - at
		tile := tlog.Tile{H: height, L: 0, N: int64(at >> height), W: width}
		if width > 1<<height {
			tile.W, width = 1<<height, 1<<height
		}
		path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/0/", height), "tile/entries/", 1)
		bytes, err := from.partial(path, width, 0)
		if err != nil {
			return err
		}
		for seq := at; seq < at+width; seq++ {
			if len(bytes) < 2 || len(bytes) < 2+int(binary.BigEndian.Uint16(bytes)) {
				return fmt.Errorf("%s ends in entry %d", path, seq)
			}
			end := 2 + int(binary.BigEndian.Uint16(bytes))
			if tlog.RecordHash(bytes[2:end]) != leaves[seq] {
				return fmt.Errorf("entry %d has another leaf hash", seq)
			}
			bytes = bytes[end:]
		}
	}
	return nil
}
