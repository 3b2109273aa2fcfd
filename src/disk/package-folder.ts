import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * The folder of this package, with `package.json`, and the folder in it that has the running code: `src` or `dist`. A
 * bundle may be several folders away from the module that it contains, so modules find other files from here.
 */
const [packageFolder, codeFolder] = folders(fileURLToPath(import.meta.url))

/** The path of a file of the package: `contract/v1/policy`. */
export const inPackage = (path: string): string => join(packageFolder, path)

/** The path of a file beside the running code: `verify/verify-child`, a module without its extension. */
export const inCode = (path: string): string => join(codeFolder, path)

function folders(from: string): [string, string] {
  for (let [inner, outer] = [from, dirname(from)]; outer !== inner; [inner, outer] = [outer, dirname(outer)]) {
    if (existsSync(join(outer, 'package.json'))) return [outer, inner]
  }
  throw new Error(`${from} is in no package`)
}
