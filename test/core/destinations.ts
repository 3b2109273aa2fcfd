/** Texts that name a place outside the machine. */
export const outside = [
  'https://host.example/x',
  'HTTP://host.example',
  ' ftp://host.example',
  's3://elsewhere/x',
  '//host.example/x',
  'mailto:ana@example.com',
  'bob@host.example',
  'Bob <bob@xn--host-cua.example>',
  'http:host.example',
  'see:https://host.example',
  'the client: see https://host.example',
  '\u200bhttps://host.example',
  'ht\u00adtps:\u2060//host.example',
  '\uff48ttps://host.example',
  'ssh://host.example',
  '9s3://host/x',
  'file://host.example/share',
  '\\\\host\\share',
]

/** Texts that look a little like it. */
export const inside = [
  'exports/x.tar.gz',
  '/srv//exports',
  'C:\\exports\\x',
  'file:///srv/exports',
  'tool:dictation.start',
  'sha256:abcd',
  'art-1@2.0',
  'as follows: the client',
]
