import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import type { Random } from '../support/seed.ts'

/** A note as bytes, and the key line that it is opened with. */
export interface NoteCase {
  note: Buffer
  vkey: string
}

interface Key {
  id: Buffer
  name: string
  privateKey: KeyObject
  vkey: string
}

const names = ['example.com/log', 'lockstep.local/x', 'λ.example/日本', 'x']
/** Names that are not valid, or that only some accept. */
const oddNames = ['', 'a b', 'a+b', 'x\u007f', 'x\u0085', 'x\u009f', 'x\u00a0', 'x\u200b', 'x\u2028', '\ufeffx', 'x\t']

const keys = new Map<string, Key>()
/** A key with a name, by its definition in C2SP signed-note alone. */
function keyNamed(name: string): Key {
  const known = keys.get(name)
  if (known !== undefined) return known
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const typed = Buffer.concat([Buffer.of(1), publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)])
  const id = createHash('sha256').update(`${name}\n`).update(typed).digest().subarray(0, 4)
  const key = { id, name, privateKey, vkey: `${name}+${id.toString('hex')}+${typed.toString('base64')}` }
  keys.set(name, key)
  return key
}

const texts = [
  'example.com/log\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n',
  'a line\n\na second paragraph\n\n\na third\n',
  '\n',
  '— example.com/log AAAAAAAA\n',
  'text\n\n— example.com/log AAAAAAAA\n\nmore\n',
  'Grüße\u2028\u0085\u007f\ufeff\u{1f600}\n',
]

/** A true note, changed in up to three places, and the key line of one of its signers. */
export function hostileNote(random: Random): NoteCase {
  const one = <T>(items: readonly T[]): T => items[random(items.length)] as T
  const key = keyNamed(random(8) === 0 ? one(oddNames) : one(names))
  const text = one(texts)
  const others = Array.from({ length: random(3) }, () => lineOf(keyNamed(one(names)), text))
  let lines = [lineOf(key, text), ...others]
  if (random(3) === 0) lines.reverse()
  let bytes: Buffer | undefined
  let { vkey } = key
  for (let changes = random(4); changes > 0; changes -= 1) {
    const kind = random(4)
    if (kind === 0) lines = changedLines(lines, { key, random, text })
    else if (kind === 1) bytes = changedBytes(bytes ?? assembled(text, lines), random)
    else if (kind === 2) lines = lines.map((line, at) => (at === 0 ? changedLine(line, random) : line))
    else if (random(4) === 0) vkey = changedVkey(vkey, key, random)
  }
  return { note: bytes ?? assembled(text, lines), vkey }
}

const assembled = (text: string, lines: readonly string[]) => Buffer.from(`${text}\n${lines.join('')}`)

function lineOf({ id, name, privateKey }: Key, text: string, signed = sign(null, Buffer.from(text), privateKey)) {
  return `— ${name} ${Buffer.concat([id, signed]).toString('base64')}\n`
}

function changedLines(
  lines: readonly string[],
  { key, random, text }: { key: Key; random: Random; text: string },
): string[] {
  const wrong = lineOf(key, `${text}x`)
  const stranger = lineOf(keyNamed('stranger'), text)
  const changes: (() => string[])[] = [
    () => [wrong, ...lines],
    () => [...lines, wrong],
    () => [...lines, ...lines],
    () => lines.slice(1),
    () => [...lines, '\n'],
    () => ['\n', ...lines],
    () => [...lines, stranger.slice(0, -1)],
    () => [...Array.from({ length: 98 + random(4) }, () => stranger), ...lines],
    () => [...lines, ...Array.from({ length: 98 + random(4) }, () => lines[0] ?? '')],
    () => [lineOf(key, text, Buffer.alloc([0, 1, 63, 65, 200][random(5)] ?? 0)), ...lines],
    () => [...lines, lineOf(keyNamed('unknown'), text, Buffer.alloc(random(3)))],
    () => [...lines, lineOf(keyNamed(oddNames[random(oddNames.length)] ?? ''), text)],
  ]
  return changes[random(changes.length)]?.() ?? []
}

function changedLine(line: string, random: Random): string {
  const at = line.lastIndexOf(' ') + 1
  const [name, base64] = [line.slice(0, at), line.slice(at, -1)]
  const last = base64.search(/=*$/) - 1
  const changes = [
    // Bits of the last digit that stand for no byte.
    () => `${name}${base64.slice(0, last)}${following(base64[last] ?? 'A')}${base64.slice(last + 1)}\n`,
    () => `${name}${base64.replace(/=+$/, '')}\n`,
    () => `${name}${base64}=\n`,
    () => `${name}${base64.replaceAll('+', '-').replaceAll('/', '_')}\n`,
    () => `${name}${base64}\r\n`,
    () => `${name} ${base64}\n`,
    () => `${name}${base64} \n`,
    () => `${name}${base64} ${base64}\n`,
    () => line.replace('—', '–'),
    () => line.replace('— ', '—'),
    () => line.replace('— ', '—\u00a0'),
    () => line.toUpperCase(),
    () => `${name}${Buffer.from(base64, 'base64').toString('hex')}\n`,
    () => `${name}\n`,
  ]
  return changes[random(changes.length)]?.() ?? line
}

const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const following = (digit: string) => digits[(digits.indexOf(digit) + 1) % 64] ?? ''

const inserted = ['\0', '\n', '\n\n', '\r', '\t', ' ', '—', '\x7f', '\ufeff', '\u2028', '— x AAAAAAAA\n']
const invalid = [Buffer.of(0xff), Buffer.of(0xc0, 0x80), Buffer.of(0xed, 0xa0, 0x80), Buffer.of(0xf4, 0x90, 0x80, 0x80)]

function changedBytes(bytes: Buffer, random: Random): Buffer {
  const at = random(bytes.length + 1)
  const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)]
  const changes = [
    () => bytes.map((byte, index) => (index === at ? byte ^ (1 << random(8)) : byte)),
    () => Buffer.concat([head, tail.subarray(1)]),
    () => head,
    () => tail,
    () => Buffer.concat([bytes, Buffer.from('\n')]),
    () => Buffer.concat([bytes, bytes]),
    () => Buffer.concat([head, Buffer.from(inserted[random(inserted.length)] ?? ''), tail]),
    () => Buffer.concat([head, invalid[random(invalid.length)] ?? Buffer.of(), tail]),
    () => Buffer.concat([Buffer.from('\ufeff'), bytes]),
    () => Buffer.from(bytes.toString().replaceAll('\n', '\r\n')),
    // Longer than any note may be, by a text that is signed for something else.
    () => Buffer.concat([Buffer.alloc(999_900 + random(200), 'x'), bytes]),
  ]
  return Buffer.from(changes[random(changes.length)]?.() ?? bytes)
}

function changedVkey(vkey: string, { id, name }: Key, random: Random): string {
  const base64 = vkey.slice(name.length + 10)
  const [other, hex] = [keyNamed('other').vkey, id.toString('hex')]
  const changes = [
    () => other,
    () => `${name}+${hex.toUpperCase()}+${base64}`,
    () => `${name}+00000000+${base64}`,
    () => `${name}+${hex}+${following(base64[0] ?? 'A')}${base64.slice(1)}`,
    () => `${name}+${hex}+${base64.slice(0, -4)}`,
    () => `${name}+${hex}+${base64.replace(/=+$/, '')}`,
    () => `${vkey}\n`,
    () => `${vkey} `,
    () => `${name}+0${hex}+${base64}`,
    () => `${name}+${hex}`,
    () => '',
  ]
  return changes[random(changes.length)]?.() ?? vkey
}

/**
 * The rules by which Lockstep refuses notes and key lines that Go's note package accepts, by design: one text for each
 * value, and no name that a terminal would not show.
 */
export function strictRule({ note, vkey }: NoteCase): string | undefined {
  const [name = '', hex = '', ...rest] = vkey.split('+')
  const text = note.toString()
  const lines = text
    .slice(text.lastIndexOf('\n\n') + 2)
    .split('\n')
    .slice(0, -1)
  const signatures = lines.map((line) => line.split(' '))
  if (/[\r\n]/.test(vkey)) return 'a line break in a key line'
  if (hex !== hex.toLowerCase()) return 'a key id in upper case'
  if ([rest.join('+'), ...signatures.map(([, , base64 = '']) => base64)].some(isAmbiguous)) return 'ambiguous base64'
  if ([name, ...signatures.map(([, of = '']) => of)].some((of) => /[\u007f-\u009f]/.test(of))) {
    return 'a control character in a name'
  }
  return undefined
}

/** Whether a text is base64 of whole bytes that has another spelling. */
function isAmbiguous(base64: string): boolean {
  const isWhole = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(base64)
  return isWhole && Buffer.from(base64, 'base64').toString('base64') !== base64
}
