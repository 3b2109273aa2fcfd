import { systemCodeOf } from '../errors.ts'

/**
 * Whether an error means that a hard link cannot be made: the file system has none, the file has too many, or it is on
 * another disk.
 */
export function hasNoLinks(error: unknown): boolean {
  return ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EXDEV'].includes(systemCodeOf(error) ?? '')
}
