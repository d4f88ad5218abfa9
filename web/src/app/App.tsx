import { localStorageColorSchemeManager, MantineProvider, mergeThemeOverrides, type MantineThemeOverride } from '@mantine/core';
import { QueryClientProvider } from '@tanstack/react-query';
import { lazy, Suspense, useMemo, useSyncExternalStore } from 'react';
import { onLanguage, spoken, t } from '@/text';
import { toasts } from '@/ui/notify';
import { theme } from '@/ui/theme';
import { client } from './client';
import { ErrorBoundary } from './ErrorBoundary';
import { LiveLink } from './LiveLink';
import { Routes } from './Routes';

const Toasts = lazy(() => import('@/ui/toasts').then((m) => ({ default: m.Notifications })));
const scheme = localStorageColorSchemeManager({ key: 'berth.theme' });

// The words of Mantine's own buttons, in the language that is spoken.
function worded(_language: string): MantineThemeOverride {
  const closing = { defaultProps: { closeButtonProps: { 'aria-label': t('common.close') } } };
  const placeholder = { defaultProps: { withInitialFocusPlaceholder: false } };
  return mergeThemeOverrides(theme, { components: { Modal: closing, Drawer: closing, Notification: closing, Menu: placeholder } });
}

/** The whole panel. Another language draws it anew. */
export function App() {
  const language = useSyncExternalStore(onLanguage, spoken);
  const talks = useSyncExternalStore(toasts.subscribe, toasts.wanted);
  const look = useMemo(() => worded(language), [language]);
  return (
    <MantineProvider theme={look} colorSchemeManager={scheme} defaultColorScheme="auto" withCssVariables={false} withGlobalClasses={false}>
      <QueryClientProvider client={client}>
        {talks && (
          <Suspense fallback={null}>
            <Toasts position="bottom-right" limit={4} />
          </Suspense>
        )}
        <LiveLink />
        <ErrorBoundary key={language}>
          <Routes />
        </ErrorBoundary>
      </QueryClientProvider>
    </MantineProvider>
  );
}
