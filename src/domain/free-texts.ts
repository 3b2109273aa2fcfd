import { type TextPlaces, textPlacesIn } from '../kernel/free-text.ts'
import { eventSchemas } from './event-schemas.ts'

/** The places of free text in the data of each event type that has any. */
const placesByType = new Map(
  Object.entries(eventSchemas).flatMap(([type, schema]): [string, TextPlaces][] => {
    const places = textPlacesIn(schema)
    return places === undefined ? [] : [[type, places]]
  }),
)

/** Where the data of an event has free text; undefined if its type has none. */
export function textPlacesOf(type: string): TextPlaces | undefined {
  return placesByType.get(type)
}
