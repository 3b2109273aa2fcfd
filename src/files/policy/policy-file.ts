import { hash } from 'node:crypto'
import { type Document, isMap, isScalar, isSeq, Lexer, LineCounter, Parser, parseDocument, visit } from 'yaml'
import { contentOf, contentSha256 } from '../../domain/policy/content.ts'
import {
  conflictLine,
  conflictMessage,
  type DocumentPath,
  type PolicyDocument,
  type PolicyProblem,
} from '../../domain/policy/document.ts'
import { lintPolicy } from '../../domain/policy/lint.ts'
import { type Policy, policyOf } from '../../domain/policy/policy.ts'
import { limits } from '../../kernel/limits.ts'

/** The bytes of a policy file, and its name for messages. */
export interface PolicyFile {
  file: string
  bytes: Uint8Array
}

/**
 * Reads the policy from two files. Returns the policy with its warnings, or every error; with an error, no part of the
 * policy may be used. Apart from hashing, it has no side effects. The caller reads the files and decides what to
 * record.
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
 * Parses a policy file as YAML 1.2. These are rejected, with the line: an encoding other than UTF-8, an empty file, a
 * Git conflict, a file wrapped in a shell's here-string, invalid YAML, duplicate keys, several documents, aliases, tags.
 */
export function readPolicyFile({
  bytes,
  file,
}: PolicyFile): { document: PolicyDocument } | { problems: PolicyProblem[] } {
  const content = contentOf(bytes)
  if (!content.ok) return { problems: [{ file, line: 1, message: content.message }] }
  const conflict = conflictLine(content.text)
  if (conflict !== undefined) return { problems: [{ file, line: conflict, message: conflictMessage }] }
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

/** Detects here-string delimiters that a shell left around the text: `@'` … `'@`, or `<<'EOF'` … `EOF`. */
function wrapper(text: string): Wrong | undefined {
  const start = text.length - text.trimStart().length
  const end = text.indexOf('\n', start)
  const [code = ''] = text.slice(start, end === -1 ? undefined : end).split('#', 1)
  const isOpen = /@['"]$/.test(code.trimEnd()) || /<<-?[ \t]*['"]?[A-Za-z_]/.test(code)
  const close = /^['"]@/m.exec(text)
  if (!isOpen && close === null) return undefined
  const message = 'the file is wrapped in a shell’s here-string: remove the lines around the YAML'
  return { offset: isOpen ? start : (close?.index ?? 0), message }
}

/**
 * Limits the depth before composing the YAML. The composer recurses once per level, and on a nearly full stack the
 * engine's regular-expression compiler aborts the process. The parser used here keeps its own stack.
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
  return { offset: pos[0], message: `the file is not valid YAML: ${message}` }
}

/**
 * Finds content that is valid YAML but not allowed in a policy: an empty file, or values that are defined elsewhere in
 * the file.
 */
function unwanted(yaml: Document.Parsed): Wrong | undefined {
  if (yaml.contents === null) return { offset: 0, message: 'the file is empty' }
  let wrong: Wrong | undefined
  visit(yaml, {
    Alias: (_, { range }) => {
      wrong = { offset: range?.[0] ?? 0, message: 'aliases are not supported: write out the value' }
      return visit.BREAK
    },
    // Duplicate keys are checked here, because the library compares each key with every other.
    Map: (_, { items }) => {
      const keys = new Set<string>()
      for (const { key } of items) {
        const name = isScalar(key) ? String(key.value) : undefined
        if (name !== undefined && keys.has(name)) {
          const [offset = 0] = (key as { range?: [number, number, number] }).range ?? []
          wrong = { offset, message: 'the file is not valid YAML: map keys must be unique' }
          return visit.BREAK
        }
        if (name !== undefined) keys.add(name)
      }
      return undefined
    },
  })
  return wrong
}

/** The offset of the value at a path. If it does not exist, the offset of the nearest existing parent. */
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
