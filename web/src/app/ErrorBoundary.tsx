import { Button } from '@mantine/core';
import { IconMoodSad } from '@tabler/icons-react';
import { Component, type ReactNode } from 'react';
import { t } from '@/text';
import { EmptyState } from '@/ui/EmptyState';

interface State {
  broken: boolean;
}

/** Holds a page that broke, so that the rest goes on. */
export class ErrorBoundary extends Component<{ children: ReactNode }, State> {
  override state: State = { broken: false };

  static getDerivedStateFromError(): State {
    return { broken: true };
  }

  override render(): ReactNode {
    if (!this.state.broken) return this.props.children;
    return (
      <EmptyState
        icon={IconMoodSad}
        title={t('error.crashed')}
        action={
          <Button variant="filled" onClick={() => window.location.reload()}>
            {t('error.reload')}
          </Button>
        }
      >
        {t('error.crashedHint')}
      </EmptyState>
    );
  }
}
