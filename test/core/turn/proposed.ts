import { hash } from 'node:crypto'

/** A turn as it is proposed to the model: plain values. */
export interface Proposed {
  triplets: {
    stem: string
    body: Record<string, unknown>
    links: Record<string, Pair | Pair[]>
    base?: string | null
  }[]
  tombstones: { stem: string; pair: Pair; base?: string | null }[]
  delete_stem: string[]
}
export interface Pair {
  id: string
  type: string
}

/** SHA-256 of a value whose members stand in order. */
export const digestOf = (value: object) => hash('sha256', JSON.stringify(value))

export const keyOf = ({ id, type }: Pair) => JSON.stringify([type, id])
export const pairOf = (body: Record<string, unknown> | undefined) =>
  body?.id === undefined ? undefined : { id: String(body.id), type: String(body.dto_type) }
export const byBytes = (one: string, other: string) => Buffer.compare(Buffer.from(one), Buffer.from(other))

/** The refs of links, and where they stand. */
export function refsOf(links: Record<string, Pair | Pair[]>): { location: string; pair: Pair }[] {
  return Object.entries(links).flatMap(([key, value]) =>
    Array.isArray(value)
      ? value.map((pair, index) => ({ location: `/links/${key}/${index}`, pair }))
      : [{ location: `/links/${key}`, pair: value }],
  )
}
