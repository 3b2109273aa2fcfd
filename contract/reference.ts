import type { Api } from '../src/api/api.ts'
import { hintOf, unwrapped } from '../src/api/hints.ts'
import { answerShapes, documents, inputShapes, type JsonSchema, jsonSchemaOf } from '../src/api/json-schema.ts'
import { formsOf, grantsOf, sharedErrors } from '../src/api/operation.ts'
import { everyOperation, type Operation } from '../src/api/operations.ts'
import { generatedPage, table } from './pages.ts'
import { policyFileSections } from './policy-keys.ts'

const nouns: { readonly [Noun in keyof Api]: string } = {
  audit: 'Audit events that programs append, and every entry as an audit event.',
  clock: 'The time of entries.',
  config: 'The settings that decide, as they are in force.',
  erasures: 'Texts that are removed while every proof stays.',
  exports: 'Bundles of entries with their proofs, for readers without the ledger.',
  head: 'The tree head: how far the ledger has come, and the hash over all of it.',
  keys: 'What signs the ledger’s tree heads.',
  locks: 'Who may work on what: resources, deliverable folders and projects.',
  log: 'The entries themselves, and their proofs.',
  policy: 'The lanes and roles that govern runs.',
  retention: 'How long texts are kept, and the legal holds that keep them longer.',
  runs: 'What an agent is allowed to do, and what it did.',
  staging: 'Files on the machine of the ledger that turns are staged from.',
  tokens: 'How callers of the service show who they are and what they may do.',
  turns: 'Atomic, ordered publishing of JSON state.',
  workspaces: 'The sovereign state that promoted turns made.',
}

/** The pages of `docs/reference` about the operations: their text, by their path from the project's root. */
export function referencePages(): Map<string, string> {
  const pages = Object.keys(nouns).map((noun) => [`docs/reference/${noun}.md`, pageOf(noun)] as const)
  return new Map([['docs/reference/operations.md', overview()], ...pages])
}

function overview(): string {
  const rows = everyOperation().map(({ facts, name, noun, verb }) => {
    return `| [\`${name}\`](${noun}.md#${noun}${verb.toLowerCase()}) | ${facts.kind} | ${grantsText({ facts })} | ${facts.summary} |`
  })
  const shapes = [
    ...Object.entries(inputShapes).map(([id, schema]) => `### ${id}\n\n${shapeText(schema)}`),
    ...Object.entries(answerShapes).map(([id, schema]) => `### ${id}\n\n${shapeText(schema, 'output')}`),
  ]
  return generatedPage(`# Operations

Everything that a caller can ask for is one operation, named \`noun.verb\`. A command may append entries or change
files; a query does neither; a stream is a query with many answers. Inputs and answers are plain JSON data, and input
members that are unknown are an error. Any one of the grants in the table is enough to call an operation; no grant
implies another.

${table(['operation', 'kind', 'grants', 'what it does'], rows)}

## Errors of every operation

${wrapped(`Besides the errors that its page lists, a query or a stream can reject with ${codesText(sharedErrors.query)}. A command can also reject with ${codesText(sharedErrors.command.filter((code) => !sharedErrors.query.includes(code)))}.`)}
[errors.md](errors.md) says what each code means.

## Paths

Paths are on the machine of the ledger: absolute, or relative to the root of the ledger. They do not depend on the
working directory of any process.

## Shared shapes

${shapes.join('\n\n')}
`)
}

function pageOf(noun: string): string {
  const operations = everyOperation().filter((operation) => operation.noun === noun)
  const about = nouns[noun as keyof Api]
  return generatedPage(`# ${noun}

${about} See [all operations](operations.md).

${[...operations.map(operationText), ...(noun === 'policy' ? [policyFileSections()] : [])].join('\n\n')}
`)
}

function operationText({ facts, name }: Operation): string {
  const inputs = [...formsOf(facts)].map(([form, schema]) => {
    const title =
      form === ''
        ? 'Input'
        : `Input with \`${form}\`${isGrantedByForm(facts) ? ` (${grantsOf(facts, form).join(', ')})` : ''}`
    return `${title}:\n\n${shapeText(schema)}`
  })
  const answer = jsonSchemaOf(facts.output, 'output')
  const what = facts.kind === 'stream' ? 'Each item' : 'Answer'
  const parts = [
    `## ${name}`,
    `${facts.summary} Kind: ${facts.kind}. Grants: ${grantsText({ facts })}.${facts.waits === undefined ? '' : ' A call may take long.'}`,
    ...inputs,
    typeof answer.$ref === 'string'
      ? `${what}: ${typeText(answer)}.`
      : `${what}:\n\n${shapeText(facts.output, 'output')}`,
    facts.errors.length === 0 ? '' : wrapped(`Errors: ${codesText(facts.errors)}.`),
  ]
  return parts.filter((part) => part !== '').join('\n\n')
}

function isGrantedByForm({ grants }: Operation['facts']): boolean {
  return !Array.isArray(grants)
}

function grantsText({ facts }: Pick<Operation, 'facts'>): string {
  const grants = new Set([...formsOf(facts).keys()].flatMap((form) => grantsOf(facts, form)))
  return [...grants].join(', ')
}

const codesText = (codes: readonly string[]) => codes.map((code) => `\`${code}\``).join(', ')

/** The members of a shape as a table; of anything else its type. */
function shapeText(schema: Parameters<typeof jsonSchemaOf>[0], io: 'input' | 'output' = 'input'): string {
  const json = jsonSchemaOf(schema, io)
  const place = typeof json.$ref === 'string' ? (json.$defs as Record<string, JsonSchema>)[idIn(json)] : json
  const properties = Object.entries((place?.properties ?? {}) as Record<string, JsonSchema>)
  if (place?.anyOf !== undefined) return `One of ${(place.anyOf as JsonSchema[]).map(typeText).join(', ')}.`
  if (properties.length === 0) return 'No members.'
  const required = new Set((place?.required ?? []) as string[])
  const isFilled = (member: JsonSchema) => io === 'input' && member.default !== undefined
  const rows = properties.map(([name, member]) => {
    const presence = isFilled(member)
      ? `default ${valueText(member.default)}`
      : required.has(name)
        ? 'always'
        : 'optional'
    const { path, secret, unit } = hintOf(unwrapped(schema, io), name) ?? {}
    const type = path && io === 'input' ? '[path](operations.md#paths)' : typeText(member)
    const words = [secret ? 'secret' : '', type, unit === undefined ? '' : `(${unitWords[unit]})`].filter(
      (word) => word !== '',
    )
    return `| \`${name}\` | ${words.join(' ')} | ${presence} | ${escaped(String(member.description ?? ''))} |`
  })
  return table(['member', 'type', 'presence', 'meaning'], rows)
}

const unitWords = { bytes: 'bytes', ms: 'milliseconds', s: 'seconds' }

/** A bar inside a cell of a table. */
const escaped = (text: string) => text.replaceAll('|', '\\|')

/** A paragraph in lines of at most 100 columns. */
function wrapped(text: string): string {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? ''
    if (line !== '' && line.length + 1 + word.length > 100) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines.join('\n')
}

/** A type in a few words. */
function typeText(json: JsonSchema): string {
  if (typeof json.$ref === 'string') return refText(idIn(json))
  if (Array.isArray(json.anyOf)) return [...new Set((json.anyOf as JsonSchema[]).map(typeText))].join(' or ')
  if (json.const !== undefined) return valueText(json.const)
  if (Array.isArray(json.enum)) return json.enum.map(valueText).join(', ')
  switch (json.type) {
    case 'array':
      return `list of ${typeText(json.items as JsonSchema)}${json.maxItems === undefined ? '' : `, at most ${json.maxItems}`}`
    case 'integer':
      return `integer${rangeText(json)}`
    case 'object':
      return json.properties === undefined
        ? 'object'
        : `object with ${Object.keys(json.properties as object)
            .map((name) => `\`${name}\``)
            .join(', ')}`
    case 'string':
      return json.format === 'date-time'
        ? 'time in UTC'
        : json.pattern === '^[0-9a-f]{64}$'
          ? '64 hex digits'
          : 'string'
    default:
      return typeof json.type === 'string' ? json.type : 'any JSON value'
  }
}

function rangeText({ maximum, minimum }: JsonSchema): string {
  if (typeof maximum !== 'number' || typeof minimum !== 'number' || minimum === Number.MIN_SAFE_INTEGER) return ''
  return maximum === Number.MAX_SAFE_INTEGER ? ` ≥ ${minimum}` : ` ${minimum} … ${maximum}`
}

/** What a name refers to: a document of the contract, a shape of the overview, or JSON itself. */
function refText(id: string): string {
  if (id in documents) return `[${id}](../../contract/v1/schemas/${id}.schema.yaml)`
  return id in inputShapes || id in answerShapes ? `[${id}](operations.md#${id})` : 'any JSON value'
}

const idIn = ({ $ref }: JsonSchema) => String($ref).slice('#/$defs/'.length)
const valueText = (value: unknown) => `\`${JSON.stringify(value)}\``
