import * as z from 'zod'
import { nearest } from '../../kernel/sentences.ts'
import { type DocumentPath, type PolicyDocument, type PolicyProblem, problemAt } from './document.ts'

/**
 * The problems that a schema finds in a file. An unknown key is reported at the key, not at the object that contains
 * it, with the known key that is most like it.
 */
export function problemsOf(
  document: PolicyDocument,
  schema: z.ZodType,
  error: z.ZodError | undefined,
): PolicyProblem[] {
  return (error?.issues ?? []).flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => problemAt(document, [...issue.path, key], unknownText(schema, issue.path, key)))
      : [problemAt(document, issue.path, issue.message)],
  )
}

function unknownText(schema: z.ZodType, path: DocumentPath, key: string): string {
  return withNearest('is not a known key here', keysAt(schema, path), key)
}

/** The most known words that are compared with an unknown one, because a file can have many unknown ones. */
const comparedMax = 50

/** A sentence about an unknown word, with the known word that is most like it. */
export function withNearest(text: string, known: readonly string[], word: string): string {
  const near = known.length > comparedMax ? undefined : nearest(known, word)
  return near === undefined ? text : `${text}: did you mean ${near}?`
}

/** The keys that a schema knows at a place. */
function keysAt(schema: z.ZodType, [step, ...others]: DocumentPath): string[] {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) {
    return keysAt(schema.unwrap() as z.ZodType, step === undefined ? [] : [step, ...others])
  }
  if (schema instanceof z.ZodArray) return keysAt(schema.element as z.ZodType, others)
  if (!(schema instanceof z.ZodObject)) return []
  const shape = schema.shape as Readonly<Record<string, z.ZodType>>
  if (step === undefined) return Object.keys(shape)
  const member = Object.hasOwn(shape, step) ? shape[String(step)] : undefined
  return member === undefined ? [] : keysAt(member, others)
}
