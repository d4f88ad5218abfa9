// Which language a file is in, by its name. Parts of CodeMirror come with the
// first file that needs them.
import { LanguageDescription, StreamLanguage, type LanguageSupport } from '@codemirror/language';
import { languages } from '@codemirror/language-data';

// Names that CodeMirror's own list lacks, by the name of its entry.
const more: [RegExp, string][] = [
  [/\.(properties|cfg|conf|ini|env|service|desktop)$|^\.env/i, 'Properties files'],
  [/\.(mcmeta|json5|jsonc|lock)$/i, 'JSON'],
  [/\.(bash|zsh|command)$|^\.(bashrc|profile)$/i, 'Shell'],
  [/^dockerfile/i, 'Dockerfile'],
  [/\.(sk)$/i, 'Python'],
];

export async function languageOf(name: string): Promise<LanguageSupport | StreamLanguage<unknown> | undefined> {
  const extra = more.find(([pattern]) => pattern.test(name));
  const found = extra ? languages.find((each) => each.name === extra[1]) : LanguageDescription.matchFilename(languages, name);
  return found?.load();
}
