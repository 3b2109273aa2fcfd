import { createReadStream } from 'node:fs'

/** A file to put in an archive: its bytes, or the path to read them from. */
export type TarFile = { name: string; bytes: Uint8Array } | { name: string; path: string; size: number }

export const tarBlock = 512
/** The largest size that eleven octal digits can express. */
export const tarFileBytesMax = 8 ** 11 - 1

/**
 * A POSIX ustar archive of some files. Mode, owner and time are fixed, and there are no folders or links, so the same
 * files always give the same bytes.
 * Cost: one block in memory, and one read buffer per file.
 */
export async function* tarOf(files: readonly TarFile[]): AsyncGenerator<Uint8Array> {
  for (const file of files) {
    const size = 'bytes' in file ? file.bytes.length : file.size
    yield tarHeader(file.name, size)
    if ('bytes' in file) yield file.bytes
    else yield* createReadStream(file.path)
    yield Buffer.alloc(paddingOf(size))
  }
  yield Buffer.alloc(tarTrailerBytes)
}

/** An archive ends with two empty blocks. */
export const tarTrailerBytes = 2 * tarBlock

/** The number of zero bytes that follow a file. */
export function paddingOf(size: number): number {
  return (tarBlock - (size % tarBlock)) % tarBlock
}

/** The header of a plain file. The name is ASCII, at most 100 bytes. */
export function tarHeader(name: string, size: number): Buffer {
  const header = Buffer.alloc(tarBlock)
  header.write(name, 0, 100, 'latin1')
  header.write('0000644\0', 100)
  header.write('0000000\0', 108)
  header.write('0000000\0', 116)
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124)
  header.write('00000000000\0', 136)
  header.write('        ', 148)
  header.write('0', 156)
  header.write('ustar\x0000', 257, 'latin1')
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return header
}
