export declare const EXTENSION: string;
export declare function bundleExtension(outDir: string): Promise<void>;
