import { useEffect } from 'react';
import { isLanguage, speak, spoken } from '@/text';

/** Speaks the language of the account, wherever its owner logs in. */
export function useSpoken(locale: string | undefined): void {
  useEffect(() => {
    if (isLanguage(locale) && locale !== spoken()) void speak(locale, true);
  }, [locale]);
}
