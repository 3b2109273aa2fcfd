/** A step into a document, by key or by place in a list. */
export type DocumentPath = readonly PropertyKey[]

/** A policy file that could be read: its value, the SHA-256 of its content, and the line a part begins on. */
export interface PolicyDocument {
  file: string
  sha256: string
  value: unknown
  /** Counts from 1; of a part that is not there, the line of what it would stand in. */
  lineOf(path: DocumentPath): number
}

/** What is wrong with a policy file, and where. */
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

/** `FILE:LINE: what is wrong`, as compilers write it. */
export function problemText({ file, line, message }: PolicyProblem): string {
  return `${file}:${line}: ${message}`
}
