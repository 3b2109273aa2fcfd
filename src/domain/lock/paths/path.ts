/** A path in its normal form: relative to the top of the repository, with `/` at the end of a subtree. */
export type Path = string

/** What a caller asks for: files and subtrees, exclusive or shared. */
export interface PathsAsked {
  readonly paths: readonly Path[]
  readonly shared: boolean
}

/** The subtree of everything below the root. */
const wholeTree: Path = './'

/** The place of the root; every other place lies below it. */
export const rootPlace = ''

/** Whether a text is the normal form of a path: no empty, `.` or `..` segments, except in the path of the whole tree. */
export function isPath(text: string): boolean {
  if (text === wholeTree) return true
  const segments = placeOf(text).split('/')
  return segments.every((segment) => segment !== '' && segment !== '.' && segment !== '..')
}

/** Whether a path stands for everything below it, and not for one file. */
export function isTree(path: Path): boolean {
  return path.endsWith('/')
}

/** The place of a path, which a file and a subtree of the same name share. */
export function placeOf(path: Path): string {
  if (path === wholeTree) return rootPlace
  return isTree(path) ? path.slice(0, -1) : path
}

/** The path of a file or a subtree at a place. */
export function pathAt(place: string, isSubtree: boolean): Path {
  if (!isSubtree) return place
  return place === rootPlace ? wholeTree : `${place}/`
}

export function placeAbove(place: string): string {
  const at = place.lastIndexOf('/')
  return at === -1 ? rootPlace : place.slice(0, at)
}

export function placeBelow(place: string, segment: string): string {
  return place === rootPlace ? segment : `${place}/${segment}`
}

export function lastSegment(place: string): string {
  return place.slice(place.lastIndexOf('/') + 1)
}

/** Whether a path is another, or lies below the other's subtree. */
export function isWithin(path: Path, other: Path): boolean {
  const [place, above] = [placeOf(path), placeOf(other)]
  if (place === above) return true
  return isTree(other) && (above === rootPlace || place.startsWith(`${above}/`))
}

/** Whether two requests exclude each other: one is exclusive, and a path of one is, or lies within, one of the other. */
export function excludes(one: PathsAsked, other: PathsAsked): boolean {
  if (one.shared && other.shared) return false
  return one.paths.some((path) => other.paths.some((second) => isWithin(path, second) || isWithin(second, path)))
}
