/** A step into a document: a key, or an index in a list. */
export type DocumentPath = readonly PropertyKey[]

/** A policy file that was read: its value, the SHA-256 of its content, and the line of each part. */
export interface PolicyDocument {
  file: string
  sha256: string
  value: unknown
  /** Counts from 1. For a missing part it is the line of the part that should contain it. */
  lineOf(path: DocumentPath): number
}

/** A problem in a policy file, and its place. */
export interface PolicyProblem {
  file: string
  line: number
  message: string
}

/** A problem with one part of a file. */
export function problemAt(document: PolicyDocument, path: DocumentPath, message: string): PolicyProblem {
  const where = path.map(String).join('.')
  return {
    file: document.file,
    line: document.lineOf(path),
    message: `${where === '' ? 'the file' : where}: ${message}`,
  }
}

/** `FILE:LINE: what is wrong`, the format of compilers. */
export function problemText({ file, line, message }: PolicyProblem): string {
  return `${file}:${line}: ${message}`
}

/** The line of the first conflict marker that a merge by Git left in a text; undefined if there is none. */
export function conflictLine(text: string): number | undefined {
  const marker = /^(?:<{7}|\|{7}|>{7})(?=[ \t\r\n]|$)/m.exec(text)
  return marker === null ? undefined : text.slice(0, marker.index).split('\n').length
}

export const conflictMessage = 'the line is a conflict marker of Git: resolve the conflict first'
