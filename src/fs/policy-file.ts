import { hash } from 'node:crypto'
import { type Document, isMap, isScalar, isSeq, Lexer, LineCounter, Parser, parseDocument, visit } from 'yaml'
import { limits } from '../core/limits.ts'
import { contentOf, contentSha256 } from '../core/policy/content.ts'
import type { DocumentPath, PolicyDocument, PolicyProblem } from '../core/policy/document.ts'
import { lintPolicy } from '../core/policy/lint.ts'
import { type Policy, policyOf } from '../core/policy/policy.ts'

/** The bytes of a policy file and the name that problems give it. */
export interface PolicyFile {
  file: string
  bytes: Uint8Array
}

/**
 * The policy that two files state and what is odd about it, or all that is wrong: then nothing of it may be used.
 * Pure but for the hash; who reads the files, and what of it is recorded, is for others to say.
 */
export function readPolicy(
  files: { lanes: PolicyFile; roles: PolicyFile },
  promotionRoles?: readonly string[],
): { policy: Policy; findings: PolicyProblem[] } | { problems: PolicyProblem[] } {
  const lanes = readPolicyFile(files.lanes)
  const roles = readPolicyFile(files.roles)
  if ('problems' in lanes || 'problems' in roles) {
    return { problems: [lanes, roles].flatMap((read) => ('problems' in read ? read.problems : [])) }
  }
  const documents = { lanes: lanes.document, roles: roles.document }
  const read = policyOf(documents, promotionRoles)
  return 'problems' in read ? read : { policy: read.policy, findings: lintPolicy(read.policy, documents) }
}

/**
 * Reads a policy file as YAML 1.2. Refused, with the line: another encoding, an empty file, one wrapped in a
 * shell's here-string, broken YAML, duplicate keys, several documents, aliases and tags.
 */
function readPolicyFile({ bytes, file }: PolicyFile): { document: PolicyDocument } | { problems: PolicyProblem[] } {
  const content = contentOf(bytes)
  if (!content.ok) return { problems: [{ file, line: 1, message: content.message }] }
  const outside = wrapper(content.text) ?? nesting(content.text)
  if (outside !== undefined) {
    const line = content.text.slice(0, outside.offset).split('\n').length
    return { problems: [{ file, line, message: outside.message }] }
  }
  const counter = new LineCounter()
  const options = { lineCounter: counter, logLevel: 'error', prettyErrors: false, uniqueKeys: false } as const
  const yaml = parseDocument(content.text, options)
  const lineAt = (offset: number) => Math.max(1, counter.linePos(offset).line)
  const wrong = [...yaml.errors, ...yaml.warnings].map(ofYaml)[0] ?? unwanted(yaml)
  if (wrong !== undefined) return { problems: [{ file, line: lineAt(wrong.offset), message: wrong.message }] }
  return {
    document: {
      file,
      sha256: contentSha256(content.text, (input) => hash('sha256', input, 'hex')),
      value: yaml.toJS(),
      lineOf: (path) => lineAt(offsetOf(yaml, path)),
    },
  }
}

interface Wrong {
  offset: number
  message: string
}

/** What a shell puts around a text: `@'` … `'@`, or `<<'EOF'` … `EOF`. */
function wrapper(text: string): Wrong | undefined {
  const start = text.length - text.trimStart().length
  const end = text.indexOf('\n', start)
  const [code = ''] = text.slice(start, end === -1 ? undefined : end).split('#', 1)
  const isOpen = /@['"]$/.test(code.trimEnd()) || /<<-?[ \t]*['"]?[A-Za-z_]/.test(code)
  const close = /^['"]@/m.exec(text)
  if (!isOpen && close === null) return undefined
  const message = 'the file is wrapped in a here-string of a shell: remove what stands around the YAML'
  return { offset: isOpen ? start : (close?.index ?? 0), message }
}

/**
 * YAML is composed by functions that call themselves for each level, and on a stack that is nearly full the engine's
 * compiler of regular expressions ends the process. So the depth is bounded first: the parser keeps its own stack.
 */
function nesting(text: string): Wrong | undefined {
  const parser = new Parser()
  for (const lexeme of new Lexer().lex(text)) {
    for (const _ of parser.next(lexeme));
    if (parser.stack.length > limits.policyDepthMax) {
      return { offset: parser.offset, message: `the file nests deeper than ${limits.policyDepthMax} levels` }
    }
  }
  return undefined
}

function ofYaml({ message, pos }: { message: string; pos: [number, number] }): Wrong {
  return { offset: pos[0], message: `the file is not good YAML: ${message}` }
}

/** What is good YAML and no good policy: nothing at all, and what stands elsewhere than where it is read. */
function unwanted(yaml: Document.Parsed): Wrong | undefined {
  if (yaml.contents === null) return { offset: 0, message: 'the file is empty' }
  let wrong: Wrong | undefined
  visit(yaml, {
    Alias: (_, { range }) => {
      wrong = { offset: range?.[0] ?? 0, message: 'aliases are not read: write the value out' }
      return visit.BREAK
    },
    // Checked here, for the library compares each key with every other.
    Map: (_, { items }) => {
      const keys = new Set<string>()
      for (const { key } of items) {
        const name = isScalar(key) ? String(key.value) : undefined
        if (name !== undefined && keys.has(name)) {
          const [offset = 0] = (key as { range?: [number, number, number] }).range ?? []
          wrong = { offset, message: 'the file is not good YAML: map keys must be unique' }
          return visit.BREAK
        }
        if (name !== undefined) keys.add(name)
      }
      return undefined
    },
  })
  return wrong
}

/** Where the part at a path begins; of one that is not there, what it would stand in. */
function offsetOf(yaml: Document.Parsed, path: DocumentPath): number {
  let node: unknown = yaml.contents
  let offset = yaml.contents?.range[0] ?? 0
  for (const step of path) {
    const pair = isMap(node)
      ? node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step))
      : undefined
    const place = pair?.key ?? (isSeq(node) ? node.items[Number(step)] : undefined)
    offset = (place as { range?: [number, number, number] } | undefined)?.range?.[0] ?? offset
    node = pair === undefined ? place : pair.value
  }
  return offset
}
