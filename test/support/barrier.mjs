// Loaded into the command before its own program (`node --import`): loads the ledger's modules, says that it is
// ready, and holds still until it is let go, so that several commands start at one moment. The command's own
// children inherit the option and are not held.
import { readSync, writeSync } from 'node:fs'

const warm = process.env.LOCKSTEP_TEST_WARM
if (warm !== undefined && process.argv[1]?.endsWith('main.js')) {
  await import(warm)
  writeSync(3, 'r')
  readSync(3, Buffer.alloc(1))
}
