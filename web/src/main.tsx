import './app/sheets';
import { begun } from './app/begin';
import './ui/mantine.css';
import './ui/tokens.css';
import { createRoot } from 'react-dom/client';
import { App } from './app/App';

const root = document.getElementById('root');
if (root) void begun.then(() => createRoot(root).render(<App />));
