import { type Cosignature, verifyCosignatures } from './cosignature.ts'
import { type Hash, sameBytes } from './hash.ts'
import type { VerifySignature } from './note.ts'
import { type KeyType, keyTypes, type Parsed, parseVkey, type Vkey } from './vkey.ts'

/** A log or a witness of a policy. A witness has a name of its own in the policy; a log has the name of its key. */
export type PolicyKey = { readonly name: string; readonly key: Vkey; readonly url: string | undefined }

/** Which logs and witnesses a reader trusts, and whose cosignatures a checkpoint needs (C2SP tlog-policy). */
export type WitnessPolicy = {
  readonly logs: readonly PolicyKey[]
  readonly witnesses: readonly PolicyKey[]
  /** Whether the witnesses with these names are a quorum. */
  readonly isQuorum: (names: ReadonlySet<string>) => boolean
}

/** Limits of a policy. C2SP recommends that 32 logs, witnesses and groups can be read. */
const policyCharsMax = 256 * 1024
const definedMax = 64

/** Whether a set of witnesses contains a witness, or enough members of a group. */
type Rule = (names: ReadonlySet<string>) => boolean

/** The part of a policy that the lines so far define. */
type Reading = {
  readonly logs: PolicyKey[]
  readonly witnesses: PolicyKey[]
  readonly rules: Map<string, Rule>
  /** Names that are members of a group already. Each name can be a member only once. */
  readonly members: Set<string>
  groups: number
  quorum: Rule | undefined
}

/**
 * Parses a policy file: lines `log <vkey> [<url>]`, `witness <name> <vkey> [<url>]`,
 * `group <name> <count|all|any> <name>…`, `quorum <name|none>`, comments and blank lines. A group and the quorum name
 * what lines above them define. The reason of a failure names the line.
 */
export async function parseWitnessPolicy(text: string, hash: Hash): Promise<Parsed<WitnessPolicy>> {
  if (text.length > policyCharsMax)
    return { ok: false, reason: `the policy is longer than ${policyCharsMax} characters` }
  const reading: Reading = {
    logs: [],
    witnesses: [],
    rules: new Map(),
    members: new Set(),
    groups: 0,
    quorum: undefined,
  }
  for (const [index, line] of text.split('\n').entries()) {
    const reason = hasControls(line) ? 'it contains a control character' : await readLine(line, reading, hash)
    if (reason !== undefined) return { ok: false, reason: `line ${index + 1}: ${reason}` }
  }
  const { logs, quorum, witnesses } = reading
  if (quorum === undefined) return { ok: false, reason: 'the policy has no line "quorum"' }
  return { ok: true, value: { logs, witnesses, isQuorum: quorum } }
}

/**
 * The cosignatures of a note that fulfil a policy. The signature of the log itself is not checked here. Reasons: a
 * cosignature is wrong, or the witnesses that cosigned are not a quorum.
 */
export async function verifyQuorum(
  note: string,
  policy: WitnessPolicy,
  verify: VerifySignature,
): Promise<Parsed<Cosignature[]>> {
  const keys = policy.witnesses.map(({ key }) => key)
  const cosignatures = await verifyCosignatures(note, keys, verify)
  if (!cosignatures.ok) return cosignatures
  const signers = new Set(cosignatures.value.map(({ key }) => key))
  const names = policy.witnesses.flatMap(({ key, name }) => (signers.has(key) ? [name] : []))
  if (policy.isQuorum(new Set(names))) return cosignatures
  const by = names.length === 0 ? 'no witness of the policy' : names.join(', ')
  return { ok: false, reason: `the checkpoint is cosigned by ${by}, which is not a quorum` }
}

/** Reads one line. Returns the reason if it is invalid. */
async function readLine(line: string, reading: Reading, hash: Hash): Promise<string | undefined> {
  const [keyword, ...words] = line.split(/[ \t]+/).filter((word) => word !== '')
  if (keyword === undefined || keyword.startsWith('#')) return undefined
  switch (keyword) {
    case 'log':
      return readKey(['', ...words], reading.logs, { hash, type: keyTypes.note })
    case 'witness': {
      const reason = refusedName(words[0], reading)
      if (reason !== undefined) return reason
      const refused = await readKey(words, reading.witnesses, { hash, type: keyTypes.cosignature })
      const name = words[0] ?? ''
      if (refused === undefined) reading.rules.set(name, (names) => names.has(name))
      return refused
    }
    case 'group':
      return readGroup(words, reading)
    case 'quorum':
      return readQuorum(words, reading)
    default:
      return `"${keyword.slice(0, 40)}" is not log, witness, group or quorum`
  }
}

async function readKey(
  [name = '', vkey = '', url, ...more]: string[],
  keys: PolicyKey[],
  { hash, type }: { hash: Hash; type: KeyType },
): Promise<string | undefined> {
  if (more.length > 0) return 'it has too many words'
  if (keys.length >= definedMax) return `a policy has at most ${definedMax} of them`
  const parsed = await parseVkey(vkey, hash, type)
  if (!parsed.ok) return parsed.reason
  const key = parsed.value
  if (keys.some((known) => sameBytes(known.key.publicKey, key.publicKey))) return 'an earlier line has the same key'
  keys.push({ name: name === '' ? key.name : name, key, url })
  return undefined
}

function readGroup([name, count = '', ...members]: string[], reading: Reading): string | undefined {
  const reason = refusedName(name, reading)
  if (reason !== undefined) return reason
  if (members.length === 0) return 'a group needs a count and at least one member'
  if (reading.groups >= definedMax) return `a policy has at most ${definedMax} groups`
  const rules: Rule[] = []
  for (const member of members) {
    const rule = reading.rules.get(member)
    if (rule === undefined) return `no line above defines "${member.slice(0, 40)}"`
    if (reading.members.has(member)) return `"${member.slice(0, 40)}" is a member of a group already`
    reading.members.add(member)
    rules.push(rule)
  }
  const needed = count === 'all' ? rules.length : count === 'any' ? 1 : Number(count)
  const isCount = count === 'all' || count === 'any' || /^[1-9][0-9]*$/.test(count)
  if (!isCount || needed > rules.length) return `the count must be all, any, or 1 to ${rules.length}`
  reading.groups += 1
  reading.rules.set(name ?? '', (names) => rules.filter((rule) => rule(names)).length >= needed)
  return undefined
}

function readQuorum([name, ...more]: string[], reading: Reading): string | undefined {
  if (name === undefined || more.length > 0) return 'a quorum is one name'
  if (reading.quorum !== undefined) return 'an earlier line has the quorum'
  reading.quorum = name === 'none' ? () => true : reading.rules.get(name)
  return reading.quorum === undefined ? `no line above defines "${name.slice(0, 40)}"` : undefined
}

function refusedName(name: string | undefined, reading: Reading): string | undefined {
  if (name === undefined) return 'it has no name'
  if (name === 'none') return '"none" is not a name'
  return reading.rules.has(name) ? `an earlier line defines "${name.slice(0, 40)}"` : undefined
}

function hasControls(line: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters that a policy must not have.
  return /[\u0000-\u0008\u000b-\u001f\u007f]|\p{Cs}/u.test(line)
}
