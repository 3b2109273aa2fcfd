import { LockstepError } from '../errors.ts'
import { type TextPlaces, textPlacesIn } from '../kernel/free-text.ts'
import type { Redaction } from './approval/exported.ts'
import { eventSchemas } from './event-schemas.ts'

/** Stands for every free text. */
const all = 'all'

/**
 * Whether the text at a path is withheld from a bundle. Texts are named by the members that hold them: `notes` is every
 * text that a member `notes` holds, and `reasons` is every text in a list of that name.
 */
export function isWithheld(path: string, names: readonly string[]): boolean {
  return names.length > 0 && (names.includes(all) || names.includes(nameOf(path)))
}

function nameOf(path: string): string {
  return path.split('/').findLast((step) => !/^\d+$/.test(step)) ?? ''
}

/** The names of all free texts of all events. */
const textNames = [
  ...new Set(Object.values(eventSchemas).flatMap((schema) => [...namesIn(textPlacesIn(schema), '')])),
].sort()

function* namesIn(places: TextPlaces | undefined, name: string): Generator<string> {
  if (places === undefined) return
  if (places === 'text') yield name
  else if ('items' in places) yield* namesIn(places.items, name)
  else for (const [member, inner] of places.members) yield* namesIn(inner, member)
}

/**
 * Errors: INVALID_INPUT if a redaction that withholds texts does not say that it is applied, or names no text that exists:
 * its author meant to withhold something.
 */
export function assertRedaction({ redaction_applied = true, withheld }: Partial<Redaction> = {}): void {
  if (withheld && !redaction_applied)
    throw new LockstepError('INVALID_INPUT', 'redaction_applied must be true if texts are withheld')
  const unknown = withheld?.find((name) => name !== all && !textNames.includes(name))
  if (unknown === undefined) return
  throw new LockstepError('INVALID_INPUT', `no free text is named "${unknown}"`, {
    hint: `The names are ${textNames.join(', ')}, and ${all} for every one.`,
  })
}
