// How a language is written down: namespaces of short texts. A text with a
// number in it has a form for each way of counting that the language has.
export type Plural = { one: string; other: string } & Partial<Record<'zero' | 'two' | 'few' | 'many', string>>;
export type Texts = Record<string, string | Plural>;

/** The same keys as the English one, texts for texts and plurals for plurals. */
export type Translation<T> = {
  [N in keyof T]: { [K in keyof T[N]]: T[N][K] extends string ? string : Plural };
};
