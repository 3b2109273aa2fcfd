const header = /^\s*\*\*\* (?:Add File|Update File|Delete File|Move to): *(.+?)\s*$/gm

/**
 * The paths that a patch in the format of `apply_patch` names, as they stand there; undefined if the text has none. A line
 * of content that looks like a header counts too: a lock too many is safe, a lock too few is not.
 */
export function pathsOfPatch(text: string): string[] | undefined {
  const paths = [...text.matchAll(header)].map(([, path = '']) => path)
  return paths.length === 0 ? undefined : paths
}

/** Whether a text has a patch, such as a command that passes one to `apply_patch`. */
export function hasPatch(text: string): boolean {
  return text.includes('*** Begin Patch')
}
