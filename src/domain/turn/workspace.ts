import type { LoadedState } from '../../kernel/decider.ts'
import type { JsonValue } from '../../kernel/json-value.ts'
import type { Identity, Ref } from './links.ts'
import { refsOf } from './links.ts'
import { foldOf } from './stem.ts'
import { emptyObjectDigest, type Source, type Triplet } from './triplet.ts'

// The rows of sovereign state, keyed by workspace, and the queries on them. Every row derives only from the entries of
// promoted turns and the objects that these entries name.

/**
 * One identity of a workspace: the stem that carries it, and the number of links that point to it; null if there never
 * was one. Sources are separate rows, so that a target with many links costs no more than any other.
 */
export interface IdentityRow extends Identity {
  carrier: string | null
  sources: number | null
}

/** The prefix of every row key of a workspace. */
function rowsOf(workspace: string): string {
  return `${workspace}${end}`
}

export function tripletKey(workspace: string, stem: string): string {
  return `${tripletRows(workspace)}${stem}`
}

/** Maps the fold of a stem to the stem. Only stems with capitals have this row. */
export function foldKey(workspace: string, fold: string): string {
  return `${rowsOf(workspace)}c${fold}`
}

export function identityKey(workspace: string, { id, type }: Identity): string {
  return `${identityRows(workspace)}${escaped(type)}${end}${escaped(id)}${end}`
}

export function sourceKey(
  workspace: string,
  target: Identity,
  { location, stem }: Pick<Source, 'location' | 'stem'>,
): string {
  return `${sourceRows(workspace, target)}${stem}${end}${escaped(location)}`
}

/** Rows of one kind: in the order of stems, of pairs, and of (stem, location). */
export function tripletRows(workspace: string): string {
  return `${rowsOf(workspace)}t`
}
export function identityRows(workspace: string): string {
  return `${rowsOf(workspace)}i`
}
export function sourceRows(workspace: string, { id, type }: Identity): string {
  return `${rowsOf(workspace)}s${escaped(type)}${end}${escaped(id)}${end}`
}

/** Ends a part of a key. It sorts below every character, so that keys sort by their parts. */
const end = '\u0000'

/** Escapes a caller's text for use in a key, because it may contain the end mark. */
function escaped(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these two are what is escaped.
  return /[\u0000\u0001]/.test(text) ? text.replaceAll('\u0001', '\u0001\u0002').replaceAll(end, '\u0001\u0001') : text
}

/** The sovereign state of one workspace, for decisions. */
export class Workspace {
  readonly name: string
  readonly #rows: LoadedState

  constructor(name: string, rows: LoadedState) {
    this.name = name
    this.#rows = rows
  }

  triplet(stem: string): Triplet | undefined {
    return this.#rows.state(tripletKey(this.name, stem)) as Triplet | undefined
  }

  identity(identity: Identity): IdentityRow | undefined {
    return this.#rows.state(identityKey(this.name, identity)) as IdentityRow | undefined
  }

  /** The other promoted stem that differs from this stem only in case. */
  twinOf(stem: string): string | undefined {
    const fold = foldOf(stem)
    const twin = this.#rows.state(foldKey(this.name, fold)) as string | undefined
    if (twin !== undefined && twin !== stem) return twin
    return fold !== stem && this.triplet(fold) !== undefined ? fold : undefined
  }

  /** The refs in a stored links object. */
  refs(linksDigest: string, stem: string): readonly Ref[] {
    if (linksDigest === emptyObjectDigest) return []
    return refsOf(this.#rows.object(linksDigest) as { readonly [key: string]: JsonValue }, stem).refs
  }
}

/** The identity that a triplet carries. */
export function carriedBy({ dto_type, id }: Pick<Triplet, 'dto_type' | 'id'>): Identity | undefined {
  return dto_type === null || id === null ? undefined : { type: dto_type, id }
}

/** The workspace of a run: that of its workflow, or its own. */
export function workspaceOf({
  run_id,
  workflow_id,
}: {
  run_id: string
  workflow_id?: string | null | undefined
}): string {
  return workflow_id ? `workflow/${workflow_id}` : `run/${run_id}`
}

/** Whether a text can be a folder name on every system that workspaces are written to. */
export function isWorkspaceName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name) && !name.includes('..')
}
