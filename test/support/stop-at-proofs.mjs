/** Stops its process (SIGSTOP) as soon as an export has opened its file of proofs. */
import promises from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'

const { open } = promises
promises.open = async (path, ...rest) => {
  const handle = await open(path, ...rest)
  if (String(path).endsWith('/proofs')) process.kill(process.pid, 'SIGSTOP')
  return handle
}
syncBuiltinESMExports()
