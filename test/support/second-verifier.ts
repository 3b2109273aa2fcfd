import { createHash, createHmac, createPublicKey, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'

// A second verifier of export bundles, written from the formats' descriptions alone (RFC 1952, POSIX ustar, RFC 6962,
// C2SP signed-note and checkpoint, DSSE, in-toto Statement) and Node's standard library: no module of ours is used.

const sha256 = (...parts: (Buffer | string)[]) =>
  parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest()

function check(isTrue: boolean, what: string): asserts isTrue {
  if (!isTrue) throw new Error(`second verifier: ${what}`)
}

/** Answers with the entries of the archive; throws where anything in it does not hold under the key line. */
export function verifyBundle(path: string, vkey: string): Record<string, unknown>[] {
  const files = untar(gunzipSync(readFileSync(path)))
  const text = (name: string) => files.get(name)?.toString('utf8') ?? ''
  const key = keyOf(vkey)
  check(text('key.pub').trim() === vkey.trim(), 'the key is another')

  const { root, size } = treeIn(text('checkpoint'), key)

  const envelope = JSON.parse(text('statement.json'))
  const payload = Buffer.from(envelope.payload, 'base64')
  const authenticated = Buffer.concat([
    Buffer.from(`DSSEv1 ${envelope.payloadType.length} ${envelope.payloadType} ${payload.length} `),
    payload,
  ])
  const [signature] = envelope.signatures
  check(verify(null, authenticated, key.public, Buffer.from(signature.sig, 'base64')), 'the statement is not signed')
  const subjects = new Map<string, string>()
  for (const subject of JSON.parse(payload.toString('utf8')).subject) subjects.set(subject.name, subject.digest.sha256)
  for (const [file, bytes] of files) {
    check(file === 'statement.json' || subjects.get(file) === sha256(bytes).toString('hex'), `${file} is not stated`)
  }

  // Who approved the export is proven in a later tree.
  if (files.has('approvals/checkpoint')) {
    const later = treeIn(text('approvals/checkpoint'), key)
    check(later.size > size, 'the approvals are in no later tree')
    provenLines(text('approvals/entries.jsonl'), text('approvals/inclusion.jsonl'), later)
  }
  return provenLines(text('entries.jsonl'), text('proofs/inclusion.jsonl'), { root, size })
}

/** The size and root of a checkpoint that is signed with the key. */
function treeIn(checkpoint: string, key: ReturnType<typeof keyOf>): { root: string; size: number } {
  const split = checkpoint.lastIndexOf('\n\n')
  const note = checkpoint.slice(0, split + 1)
  const [dash, name, base64] = checkpoint.slice(split + 2, -1).split(' ')
  const signed = Buffer.from(base64 ?? '', 'base64')
  check(dash === '\u2014' && name === key.name && signed.subarray(0, 4).equals(key.id), 'the note is signed by another')
  check(verify(null, Buffer.from(note), key.public, signed.subarray(4)), 'the note’s signature is wrong')
  const [origin, size, root] = note.split('\n')
  check(origin === key.name, 'the checkpoint is of another log')
  return { root: root ?? '', size: Number(size) }
}

/** The entries of some lines, each proven to be in the tree, with the free texts that are disclosed. */
function provenLines(entries: string, inclusion: string, tree: { root: string; size: number }) {
  const proofs = inclusion.trimEnd().split('\n')
  const lines = entries.trimEnd().split('\n')
  check(proofs.length === lines.length, 'there is not one proof an entry')
  return lines.map((line, index) => {
    const { disclosures = [], leaf_hash, proof, seq } = JSON.parse(proofs[index] ?? '')
    const leaf = sha256('\0', line)
    check(leaf.toString('hex') === leaf_hash, `line ${index + 1} has another leaf hash`)
    const hashes = (proof as string[]).map((hash) => Buffer.from(hash, 'hex'))
    check(
      rootFrom(leaf, seq, tree.size, hashes).toString('base64') === tree.root,
      `line ${index + 1} is not in the tree`,
    )
    const entry = JSON.parse(line)
    check(entry.seq === seq, `line ${index + 1} has another seq`)
    for (const { path, salt, text } of disclosures) disclose(entry, { path, salt, text })
    return entry
  })
}

/** Puts a text in the place of its commitment. A text that was erased or withheld leaves the commitment there. */
function disclose(entry: unknown, { path, salt, text }: { path: string; salt?: string; text?: string }): void {
  const steps = path.split('/').slice(1)
  const last = steps.pop() ?? ''
  const parent = steps.reduce((value, step) => (value as Record<string, unknown>)[step], entry)
  const { commitment } = (parent as Record<string, { commitment: string }>)[last] ?? { commitment: '' }
  if (salt === undefined || text === undefined) return
  const message = Buffer.from(`lockstep/free-text/v1\0${path}\0${text}`)
  const computed = createHmac('sha256', Buffer.from(salt, 'hex')).update(message).digest('hex')
  check(computed === commitment, `${path} has another text`)
  Object.assign(parent as object, { [last]: text })
}

function untar(bytes: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>()
  for (let at = 0; bytes[at] !== 0; ) {
    const header = bytes.subarray(at, at + 512)
    const field = (from: number, to: number) => header.toString('latin1', from, to).replace(/\0.*$/s, '')
    const size = Number.parseInt(field(124, 136), 8)
    check(field(257, 263) === 'ustar' && field(156, 157) === '0', 'a member is no plain file')
    files.set(field(0, 100), bytes.subarray(at + 512, at + 512 + size))
    at += 512 + Math.ceil(size / 512) * 512
  }
  return files
}

/** RFC 9162, section 2.1.3.2: the root that an inclusion proof leads to. */
function rootFrom(leaf: Buffer, seq: number, size: number, proof: Buffer[]): Buffer {
  let [fn, sn, hash] = [seq, size - 1, leaf]
  for (const sibling of proof) {
    check(sn !== 0, 'the proof is too long')
    if (fn % 2 === 1 || fn === sn) {
      hash = sha256('\x01', sibling, hash)
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [fn / 2, Math.floor(sn / 2)]
    } else {
      hash = sha256('\x01', hash, sibling)
    }
    ;[fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)]
  }
  check(sn === 0, 'the proof is too short')
  return hash
}

/** `name+hex(id)+base64(0x01 ‖ key)`; the id is the first of SHA-256(name ‖ LF ‖ 0x01 ‖ key). */
function keyOf(vkey: string) {
  const [name = '', id = '', ...rest] = vkey.trim().split('+')
  const typed = Buffer.from(rest.join('+'), 'base64')
  const ownId = sha256(name, '\n', typed).subarray(0, 4)
  check(typed[0] === 1 && ownId.toString('hex') === id, 'the key’s id is not its own')
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: typed.subarray(1).toString('base64url') }
  return { name, id: ownId, public: createPublicKey({ key: jwk, format: 'jwk' }) }
}
